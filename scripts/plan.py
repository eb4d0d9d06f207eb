"""`spa plan`, from a checkout."""

from spa.cli.plan import main

if __name__ == "__main__":
    main()
