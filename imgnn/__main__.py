"""`python -m imgnn`, and the `imgnn` script."""

from imgnn.cli.app import main

if __name__ == "__main__":
    main()
