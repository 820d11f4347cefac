drop table orders;
drop table products;
