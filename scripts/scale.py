"""`spa scale`, from a checkout."""

from spa.cli.scale import main

if __name__ == "__main__":
    main()
