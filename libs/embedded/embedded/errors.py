"""Why the platform does not start, each as a sentence for the person who started it."""


class StartError(Exception):
    """The platform cannot start, or one of its processes did not become ready."""


class AlreadyRunning(StartError):
    """Another platform uses the data directory."""


class PortTaken(StartError):
    """Another program listens on a port that was asked for."""


class WrongOwner(StartError):
    """The data directory belongs to another user."""


class StopRequested(Exception):
    """Somebody asked to stop while the platform was still starting."""
