"""The remote transport: operations over HTTP."""
