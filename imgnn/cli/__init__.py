"""The command line, thin: words in, one job called, the result out.

    app.py       the `imgnn` command: its groups, its errors, --version and --debug
    console.py   what is printed: results on stdout; progress, notes and errors on stderr
    NAME.py      one file per command: a function whose docstring is the help

Nothing is imported here at start that takes time: a command imports its job when it runs.
"""
