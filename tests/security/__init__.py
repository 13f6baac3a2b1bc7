"""What comes from elsewhere is data, keys stay where they are, places are looked at first."""
