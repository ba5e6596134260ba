"""What every kind of resource is told with: conditions, events, the status, and the problems behind them."""
