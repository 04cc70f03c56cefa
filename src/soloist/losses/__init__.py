"""What training minimises: functions of a separator's prediction and the references."""
