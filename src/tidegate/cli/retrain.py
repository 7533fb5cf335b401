"""`tidegate retrain`: a retraining that somebody asks for."""

from tidegate.cli.derived import command_for

retrain = command_for("retraining", "retrain")
