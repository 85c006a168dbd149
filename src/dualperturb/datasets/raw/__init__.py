"""Raw data from elsewhere: linked, fetched, or built from MS-COCO. The command line alone imports it."""
