-- deployrun: no transaction
drop index concurrently if exists customers_city;
