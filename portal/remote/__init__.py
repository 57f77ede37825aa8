"""The one way to call an API: budget, breaker, token, send, classify, retry or raise."""
