"""How often callers may ask: which limits a request falls under, and how a caller stands with them."""

from gateway.limits.addresses import Proxies
from gateway.limits.rates import Caller, Rates

__all__ = ["Caller", "Proxies", "Rates"]
