-- deployrun: no transaction
create index concurrently if not exists customers_city on customers (city);
