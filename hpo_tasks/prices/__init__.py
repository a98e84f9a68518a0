"""What machines cost. Pure but for reading the table's file; whoever has boto3 clients passes them in.

table        the price table: shipped `prices.json`, a user's own file over it, look-ups
aws_lists    what AWS's price lists and spot histories say: documents → figures
refresh      figures of today, through boto3 clients
"""
