"""The command ``dsmix-aug``: one thin file per subcommand, which imports what it needs when it runs."""
