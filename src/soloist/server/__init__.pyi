from .application import make_application as make_application
from .folder_mixer import mixer_job as mixer_job
from .jobs import Job as Job
from .limits import Limits as Limits
from .listening import open_socket as open_socket
from .listening import run as run
from .offers import Offer as Offer
from .service import Service as Service
