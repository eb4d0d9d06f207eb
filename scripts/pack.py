"""`spa pack`, from a checkout."""

from spa.cli.pack import main

if __name__ == "__main__":
    main()
