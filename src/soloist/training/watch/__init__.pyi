from .assembly import callbacks_for as callbacks_for
from .assembly import loggers_for as loggers_for
from .config import WatchConfig as WatchConfig
