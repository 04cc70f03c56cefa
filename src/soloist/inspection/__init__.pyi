from .visualization import Excerpt as Excerpt
from .visualization import Visualization as Visualization
from .visualization import loud_embeddings as loud_embeddings
from .visualization import visualization_files as visualization_files
from .visualization import visualize as visualize
from .visualization import write_visualization as write_visualization
