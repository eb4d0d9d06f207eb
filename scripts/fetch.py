"""`spa fetch`, from a checkout."""

from spa.cli.fetch import main

if __name__ == "__main__":
    main()
