"""Open Inference Protocol v2 over REST, with JSON tensors: an endpoint is a model to its clients."""

from tidegate.compat.inference.routes import OpenInference, inference_routes

__all__ = ["OpenInference", "inference_routes"]
