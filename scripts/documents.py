"""`spa documents`, from a checkout."""

from spa.cli.documents import main

if __name__ == "__main__":
    main()
