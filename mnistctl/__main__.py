"""`python -m mnistctl` is the `mnistctl` command."""

from mnistctl.cli.app import main

if __name__ == "__main__":
    main()
