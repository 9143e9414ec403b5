"""Who calls, and what they may do: scopes, the callers file, JSON Web Tokens, client certificates."""
