"""`spa score`, from a checkout."""

from spa.cli.score import main

if __name__ == "__main__":
    main()
