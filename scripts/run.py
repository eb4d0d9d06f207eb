"""`spa run`, from a checkout."""

from spa.cli.run import main

if __name__ == "__main__":
    main()
