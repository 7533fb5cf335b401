"""Directories as MLflow keeps models, answered by a process of their own that runs what their author wrote."""
