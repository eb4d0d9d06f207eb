"""`spa replay`, from a checkout."""

from spa.cli.replay import main

if __name__ == "__main__":
    main()
