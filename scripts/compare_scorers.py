"""`spa compare-scorers`, from a checkout."""

from spa.cli.compare_scorers import main

if __name__ == "__main__":
    main()
