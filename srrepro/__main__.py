"""`python -m srrepro`: the command, where no script of that name is on the path."""

from srrepro.cli import main

if __name__ == "__main__":
    main()
