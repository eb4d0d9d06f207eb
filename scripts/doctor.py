"""`spa doctor`, from a checkout."""

from spa.cli.doctor import main

if __name__ == "__main__":
    main()
