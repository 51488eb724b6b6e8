"""`python -m imgnn`, and the `imgnn` script."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from imgnn.cli.app import main as run
    except KeyboardInterrupt:  # Ctrl-C while modules are still read
        sys.stderr.write("Interrupted: stopped before it began\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
