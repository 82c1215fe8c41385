"""Access tokens that work, from Grantkeep.

``grantkeep.Client`` needs nothing but Python; ``grantkeep.google`` needs google-auth.
"""

from grantkeep.client import AccessToken, Client
from grantkeep.errors import GrantkeepError

__all__ = ["AccessToken", "Client", "GrantkeepError"]
