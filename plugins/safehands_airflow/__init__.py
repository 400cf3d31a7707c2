"""Where Airflow meets the package: environment, operators, assets, notices, launcher."""
