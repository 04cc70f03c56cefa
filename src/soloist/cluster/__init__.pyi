from .ray_evaluation import RayEvaluation as RayEvaluation
from .ray_workers import RayWorkers as RayWorkers
