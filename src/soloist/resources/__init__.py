"""Resources of the machine: memory, time, processes, signals, optional packages."""
