"""The one way to call an API: budget, breaker, token, rate bucket, send, classify, retry or raise."""
