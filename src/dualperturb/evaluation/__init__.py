"""What the paper measures, each as a pandas table."""
