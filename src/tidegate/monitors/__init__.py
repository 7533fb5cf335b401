"""Windows of quality: what the predictions were worth once their labels arrived."""
