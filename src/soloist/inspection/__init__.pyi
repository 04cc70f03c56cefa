from .visualization import Excerpt as Excerpt
from .visualization import look_at as look_at
from .visualization_files import write_look as write_look
