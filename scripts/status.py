"""`spa status`, from a checkout."""

from spa.cli.status import main

if __name__ == "__main__":
    main()
