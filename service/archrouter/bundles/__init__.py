"""The engine tier's prompt bundle: what travels with the weights."""
