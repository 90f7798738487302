"""Networks on coordinates: a picture as the weights of a function from canvas coordinates to colours."""
