"""What any of the server's routes stand on: answers, files, who may ask, encryption; nothing is drawn here."""
