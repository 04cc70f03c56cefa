from .page_parts import inline_scripts as inline_scripts
from .page_parts import part_path as part_path
from .page_parts import read_part as read_part
from .peaks import ZOOMS as ZOOMS
from .peaks import PeakMeter as PeakMeter
from .spectrogram_picture import encode_png as encode_png
from .spectrogram_picture import spectrogram_of_file as spectrogram_of_file
from .spectrogram_picture import spectrogram_uri as spectrogram_uri
