"""`spa attention`, from a checkout."""

from spa.cli.attention import main

if __name__ == "__main__":
    main()
