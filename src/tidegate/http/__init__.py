"""The ASGI application: dispatch, authentication, OpenAPI, the object plane, the status page."""
