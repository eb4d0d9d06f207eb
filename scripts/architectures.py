"""`spa architectures`, from a checkout."""

from spa.cli.architectures import main

if __name__ == "__main__":
    main()
