"""`spa export`, from a checkout."""

from spa.cli.export import main

if __name__ == "__main__":
    main()
