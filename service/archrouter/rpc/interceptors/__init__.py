"""What every call of the API passes, outermost first: metrics, logging, errors, auth, admission, deadline."""
