"""`spa report`, from a checkout."""

from spa.cli.report import main

if __name__ == "__main__":
    main()
