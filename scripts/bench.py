"""`spa bench`, from a checkout."""

from spa.cli.bench import main

if __name__ == "__main__":
    main()
